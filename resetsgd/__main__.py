"""``python -m resetsgd`` is the command ``resetsgd``."""

from resetsgd.cli import main

if __name__ == "__main__":
    main()
