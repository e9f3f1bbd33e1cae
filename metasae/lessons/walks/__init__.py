"""The lessons, one module each; a module in this folder is a lesson."""
