# Rotates a secret of yours with the functions of a stack that was deployed with SAM.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
      # rotate_immediately is older, but had another default before.
      version = ">= 5.37"
    }
  }
}

variable "rotation_stack" {
  description = "The stack that template.yaml was deployed as"
  type        = string
  default     = "secret-rotation"
}

variable "secret_id" {
  description = "ARN or name of the secret"
  type        = string
}

variable "engine" {
  description = "Which function rotates it; MariaDB and Aurora MySQL belong to Mysql"
  type        = string
  default     = "Postgres"

  validation {
    condition     = contains(["Postgres", "Mysql"], var.engine)
    error_message = "Postgres or Mysql."
  }
}

data "aws_cloudformation_stack" "rotation" {
  name = var.rotation_stack
}

resource "aws_secretsmanager_secret_rotation" "this" {
  secret_id           = var.secret_id
  rotation_lambda_arn = data.aws_cloudformation_stack.rotation.outputs["${var.engine}RotatorArn"]
  # Only tests the configuration; the first rotation is the schedule's.
  rotate_immediately = false

  rotation_rules {
    schedule_expression = "cron(0 1 ? * SUN#1 *)"
    duration            = "3h"
  }
}
