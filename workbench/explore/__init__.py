"""The parts of the explorer: Latents, Meta-latents, Graph."""
