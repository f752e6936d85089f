"""Trust: evidence in numbers for one detection, and the policy that turns it into a verdict."""
