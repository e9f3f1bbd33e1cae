"""Autoencoders and their files, decoder directions, their decomposition and their neighbours."""
