"""What is told of a version to people: the model card, and what two versions differ in."""
