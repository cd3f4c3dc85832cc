# Rotates a secret of yours with the functions of a stack that was deployed with SAM.

variable "rotation_stack" {
  description = "The stack that template.yaml was deployed as"
  type        = string
  default     = "secret-rotation"
}

variable "secret_id" {
  description = "ARN or name of the secret"
  type        = string
}

data "aws_cloudformation_stack" "rotation" {
  name = var.rotation_stack
}

resource "aws_secretsmanager_secret_rotation" "orders" {
  secret_id           = var.secret_id
  rotation_lambda_arn = data.aws_cloudformation_stack.rotation.outputs["PostgresRotatorArn"]
  # Only tests the configuration; the first rotation is the schedule's.
  rotate_immediately = false

  rotation_rules {
    schedule_expression = "cron(0 1 ? * SUN#1 *)"
    duration            = "3h"
  }
}
