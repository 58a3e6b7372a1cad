"""Video engagement for dashboards (video-engagement.md, "Analytics for the dashboard"): staff, and a learner's own."""
