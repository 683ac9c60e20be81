"""What all tests share. That this file is here lets them import `recorded`, which stands beside it."""
