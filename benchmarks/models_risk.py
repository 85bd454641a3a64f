"""The shipped risk and pricing models on other people's data, against the best scores known there.

``MLOPS_TEST_FREMTPL2`` names a folder with ``freq.parquet`` and ``sev.parquet``, the French motor
third party liability portfolio of CASdatasets; without it that part says so and is left out. The
grocery part needs ``pip install mlops_assets[journey]``.
"""
