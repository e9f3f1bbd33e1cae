"""Where latents fire, what they are called, a latent's page, and graphs."""
