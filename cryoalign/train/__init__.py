"""What happens beside training: figures on a fixed batch, predictions as stacks."""
