"""``python -m resight``."""

from resight.cli import main

if __name__ == "__main__":
    main()
