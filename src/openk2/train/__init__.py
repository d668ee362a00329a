"""Training: one step loop for pre-training and supervised fine-tuning."""
