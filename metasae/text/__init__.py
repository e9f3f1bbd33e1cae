"""Cities and their facts, prompts, documents, and the token windows a model reads."""
