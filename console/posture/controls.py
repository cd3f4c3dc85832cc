"""Which controls of others ask for what a code is about.

``SecretsManager.1`` and its like are AWS Security Hub's (Foundational Security Best Practices), the
long names Prowler's (5.46) or Steampipe's (1.13), those with dashes AWS Config's. Where there is
none, none of them looks for it.
"""

from collections.abc import Mapping

CONTROLS: Mapping[str, tuple[str, ...]] = {
    "KeyOfAws": ("secretsmanager_secret_encrypted_with_kms_cmk", "secretsmanager-using-cmk"),
    "KeyUnusable": ("KMS.3", "kms_cmk_not_deleted_unintentionally"),
    "KeyNotRotated": ("KMS.4", "kms_cmk_rotation_enabled"),
    "KeyPolicyPublic": ("KMS.5", "kms_key_not_publicly_accessible"),
    "KeyPolicyWhole": (),
    "KeyDutiesMixed": (),
    "KeyUsedDirectly": (),
    "KeyGrantsFree": (),
    "SecretPolicyPublic": ("secretsmanager_not_publicly_accessible",),
    "SecretPolicyForeign": ("secretsmanager_has_restrictive_resource_policy",),
    "RotationOff": (
        "SecretsManager.1",
        "secretsmanager_automatic_rotation_enabled",
        "secretsmanager-rotation-enabled-check",
    ),
    "NotScheduled": ("SecretsManager.1",),
    "RotationFails": (
        "SecretsManager.2",
        "secretsmanager-scheduled-rotation-success-check",
    ),
    "AttemptUnfinished": ("SecretsManager.2",),
    "Overdue": ("SecretsManager.2", "secretsmanager_secret_rotated_as_scheduled"),
    "FunctionMissing": ("SecretsManager.2",),
    "NeverRotated": ("SecretsManager.2", "secretsmanager_secret_rotated_as_scheduled"),
    "PasswordTooOld": (
        "SecretsManager.4",
        "secretsmanager_secret_rotated_periodically",
        "secretsmanager_secret_last_changed_90_day",
    ),
    "RoleReachesAllSecrets": (),
    "RoleUsesAllKeys": ("KMS.1", "KMS.2"),
    "StorageUnencrypted": (
        *("RDS.3", "RDS.27"),
        *("rds_instance_storage_encrypted", "rds_cluster_storage_encrypted"),
    ),
    "StorageUnderAwsKey": (),
    "SnapshotUnencrypted": ("RDS.4", "rds_snapshots_encrypted"),
    "SnapshotPublic": ("RDS.1", "rds_snapshots_public_access"),
    "SnapshotShared": (),
    "TlsNotForced": ("RDS.38", "RDS.39", "RDS.44", "rds_instance_transport_encrypted"),
    "PlaintextTaken": ("RDS.38", "rds_instance_transport_encrypted"),
    "TlsNotOffered": ("RDS.38", "RDS.39", "RDS.44", "rds_instance_transport_encrypted"),
    "TlsFailed": (),
    "CertificateUntrusted": (),
    "HostNameMismatch": (),
    "IamLoginOff": (
        *("RDS.10", "RDS.12"),
        *("rds_instance_iam_authentication_enabled", "rds_cluster_iam_authentication_enabled"),
    ),
    "DatabasePublic": ("RDS.2", "rds_instance_no_public_access"),
    "EbsInClear": ("EC2.7", "ec2_ebs_default_encryption"),
    "EbsUnderAwsKey": (),
    "BucketUnderAwsKey": ("S3.17", "s3_bucket_kms_encryption"),
    "BucketKeyOff": (),
    "BucketMayBePublic": ("S3.8", "s3_bucket_level_public_access_block"),
    "BucketUnversioned": ("S3.14", "s3_bucket_object_versioning"),
    "BucketUnlocked": ("S3.15", "s3_bucket_object_lock"),
    "BucketTakesClear": ("S3.5", "s3_bucket_secure_transport_policy"),
    "BucketTakesOtherKeys": (),
}
"""By the code's name."""
