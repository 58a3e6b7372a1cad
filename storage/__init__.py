"""Where facts become durable: journal, projections, migrations, leases and buses."""
