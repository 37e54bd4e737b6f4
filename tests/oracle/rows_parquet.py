"""Writes tests/testdata/rows_*.parquet: the rows of tests/stages/data/text_test.ts as the usual writers of parquet store them.

Needs `pip install pyarrow`.
"""

import pathlib

import pyarrow
import pyarrow.parquet

ROWS = {
    "id": list(range(6)),
    "text": ["", " = Title = \n", "", "Naïve café, 日本語 😀\n", "a\n\nb", "last"],
    "maybe": ["x", None, "y", None, "z", None],
}

for compression in ("snappy", "zstd"):
    path = pathlib.Path(__file__).parent.parent / "testdata" / f"rows_{compression}.parquet"
    pyarrow.parquet.write_table(pyarrow.table(ROWS), path, compression=compression, row_group_size=4)
