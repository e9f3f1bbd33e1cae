"""An edit, the questions asked, the experiment, and its outcome."""
