"""What other search libraries need to search a space; each module wants its library, of ``lutra[search-extras]``."""
