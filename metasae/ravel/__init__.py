"""RAVEL for meta-latents: do edits move one attribute of a name and leave the others?"""
