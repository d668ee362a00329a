"""What the code rows share: code out of answers, tests run in the sandbox, verdicts as scores."""
