"""RabbitMQ: events of other systems in, our own out."""
