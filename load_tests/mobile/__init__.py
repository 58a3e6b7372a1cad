"""A stand-in for mobile SDKs: scripted learners, the mobile door, and the truth that its answers are held to."""
