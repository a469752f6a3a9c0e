"""The Ornstein–Uhlenbeck process to a point, free and under resetting."""
