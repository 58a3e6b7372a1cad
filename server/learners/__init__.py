"""A learner's rights: to have everything that is known of them, and to have it erased."""
