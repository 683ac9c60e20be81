"""Programs written with Lockstep, each run by the tests."""
