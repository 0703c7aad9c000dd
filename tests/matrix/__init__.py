"""The confusion matrix of the rules: what they say of captures and timelines whose cause is known, and of worse."""
