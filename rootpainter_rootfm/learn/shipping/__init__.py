"""From a training to a model file with its card."""
