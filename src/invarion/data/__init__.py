"""Data: labelled structures from files (`read`), split (`split`), with a table of their labels, and as samples.

Everything is in eV and Angstrom from here on; other units are converted while reading.
"""

from invarion.data.dataset import Labels, Sample, collate, samples
from invarion.data.label_table import LabelRow, LabelTable, label_table, require_labels
from invarion.data.labels import Search, StructureLabels, search_for, structure_labels
from invarion.data.reading import Reading, read, read_labelled
from invarion.data.splits import Split, split
from invarion.data.statistics import ReferenceEnergies, closest_distances, energy_scale, reference_energies

__all__ = [
    "LabelRow",
    "LabelTable",
    "Labels",
    "Reading",
    "ReferenceEnergies",
    "Sample",
    "Search",
    "Split",
    "StructureLabels",
    "closest_distances",
    "collate",
    "energy_scale",
    "label_table",
    "read",
    "read_labelled",
    "reference_energies",
    "require_labels",
    "samples",
    "search_for",
    "split",
    "structure_labels",
]
