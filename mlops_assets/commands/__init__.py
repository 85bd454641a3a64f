"""One file a command of ``mlops-assets``."""
