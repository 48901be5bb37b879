"""What columns of the views hold, alike in every database: large numbers, and text in the order of its letters."""

from typing import Final

from sqlalchemy import BigInteger, Integer, Text

# PostgreSQL's INTEGER has four bytes, and its text another order than that of the letters' numbers.
Number: Final = Integer().with_variant(BigInteger(), "postgresql")
Words: Final = Text().with_variant(Text(collation="C"), "postgresql")
