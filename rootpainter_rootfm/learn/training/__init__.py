"""The training loop, and what it goes through: plans, patches, losses, validation."""
