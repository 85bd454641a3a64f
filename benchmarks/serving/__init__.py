"""The REST server's benchmarks, one file a subject; ``benchmarks/serving.py`` runs them."""
