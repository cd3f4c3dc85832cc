"""The codes of `rotation posture`: how well secrets, their keys and their databases are protected.

They stand here for the same reason as those of :mod:`shared.examination.outside`.
"""

from functools import partial

from shared.examination.code import Code, Examiner
from shared.examination.finding import Level

_Code = partial(Code, examiner=Examiner.OUTSIDE)

KEYS: tuple[Code, ...] = (
    _Code(
        "KeyOfAws",
        Level.WARNING,
        "The secret is under the key that AWS manages",
        "Whoever IAM lets read the secret can decrypt it: no key policy of yours stands between.",
        "`rotation rekey <secret> --key <ARN of a key of yours>`",
    ),
    _Code(
        "KeyUnusable",
        Level.FAILURE,
        "A KMS key is disabled, to be deleted, or not there",
        "What is under it cannot be read; once the key is deleted, never again.",
        "`aws kms cancel-key-deletion --key-id <key>`, `aws kms enable-key --key-id <key>`",
    ),
    _Code(
        "KeyNotRotated",
        Level.WARNING,
        "KMS does not rotate the key",
        "One piece of key material protects everything that was ever put under the key.",
        "`aws kms enable-key-rotation --key-id <key>`",
    ),
    _Code(
        "KeyPolicyPublic",
        Level.FAILURE,
        "The key's policy lets anybody in",
        "Every account of AWS may use or administer the key.",
        "`aws kms put-key-policy --key-id <key> --policy-name default --policy <JSON>`",
    ),
    _Code(
        "KeyPolicyWhole",
        Level.WARNING,
        "The key's policy leaves everything to IAM",
        "One IAM policy with kms:* decrypts, and whoever administers the key can also use it.",
        "Divide the statement into administration, and use through services.",
    ),
    _Code(
        "KeyDutiesMixed",
        Level.WARNING,
        "Somebody may administer the key and use it",
        "One stolen login reads the secrets, and opens the key to others.",
        "Take the use of the key from its administrators.",
    ),
    _Code(
        "KeyUsedDirectly",
        Level.WARNING,
        "The key may be used past Secrets Manager",
        "What was taken from a backup can be decrypted without a trace in Secrets Manager.",
        "Demand kms:ViaService in the statement.",
    ),
    _Code(
        "KeyGrantsFree",
        Level.WARNING,
        "The key may be handed on to anybody",
        "A grant opens the key past its policy, and no policy shows it.",
        "Demand kms:GrantIsForAWSResource for kms:CreateGrant.",
    ),
)

ACCESS: tuple[Code, ...] = (
    _Code(
        "SecretPolicyPublic",
        Level.FAILURE,
        "The secret's own policy lets anybody in",
        "Every account of AWS may read or change the secret, as far as its key lets.",
        "`aws secretsmanager delete-resource-policy --secret-id <ARN>`",
    ),
    _Code(
        "SecretPolicyForeign",
        Level.NOTE,
        "The secret's own policy lets another account in",
        "Who reads it there, only that account's IAM and logs tell.",
        "`aws secretsmanager delete-resource-policy --secret-id <ARN>`, where it is not wanted.",
    ),
    _Code(
        "RoleReachesAllSecrets",
        Level.WARNING,
        "The function's role reaches every secret of the account",
        "Whoever changes the function's code reads them all.",
        "Demand secretsmanager:resource/AllowRotationLambdaArn in the statement.",
    ),
    _Code(
        "RoleUsesAllKeys",
        Level.WARNING,
        "The function's role may decrypt under every key of the account",
        "Whatever else those keys protect, the function can read.",
        "Name the secrets' keys in the statement.",
    ),
)

ROTATION: tuple[Code, ...] = (
    _Code(
        "RotationOff",
        Level.WARNING,
        "Nothing rotates the secret",
        "Its password stays as it is until a person changes it.",
        "`rotation enable <secret>`",
    ),
    _Code(
        "RotationFails",
        Level.WARNING,
        "The last rotation failed",
        "The password grows older than its schedule, and the next rotation may fail likewise.",
        "`rotation recover <secret>`",
    ),
    _Code(
        "NeverRotated",
        Level.WARNING,
        "Rotation is on, and none has succeeded yet",
        "The password is the one that a person, or a template, set.",
        "`rotation rotate <secret>`",
    ),
    _Code(
        "PasswordTooOld",
        Level.WARNING,
        "The password is older than is allowed",
        "Whoever copied it once can still log in with it.",
        "`rotation rotate <secret>`",
    ),
)

DATABASES: tuple[Code, ...] = (
    _Code(
        "StorageUnencrypted",
        Level.WARNING,
        "The database's storage is not encrypted",
        "So are its snapshots and replicas; it cannot be changed, only restored from an encrypted "
        "copy of a snapshot.",
        "Restore from a snapshot that was copied under a key.",
    ),
    _Code(
        "StorageUnderAwsKey",
        Level.NOTE,
        "The database's storage is under the key that AWS manages",
        "Its snapshots cannot be shared with another account, and its policy cannot be changed.",
        "Restore from a snapshot that was copied under a key of yours.",
    ),
    _Code(
        "SnapshotUnencrypted",
        Level.WARNING,
        "A snapshot of the database is not encrypted",
        "Whoever may restore it reads everything, at any later time.",
        "Copy it under a key, and delete it.",
    ),
    _Code(
        "SnapshotPublic",
        Level.FAILURE,
        "Anybody may restore a snapshot of the database",
        "Every account of AWS can have the data, with the password hashes.",
        "`aws rds modify-db-snapshot-attribute --db-snapshot-identifier <snapshot> "
        "--attribute-name restore --values-to-remove all`",
    ),
    _Code(
        "SnapshotShared",
        Level.NOTE,
        "Another account may restore a snapshot of the database",
        "Who reads the data there, only that account's logs tell.",
        "`aws rds modify-db-snapshot-attribute --db-snapshot-identifier <snapshot> "
        "--attribute-name restore --values-to-remove <account>`, where it is not wanted.",
    ),
    _Code(
        "TlsNotForced",
        Level.WARNING,
        "The database's parameters let logins in without TLS",
        "A client that does not ask for TLS sends its queries, or its password, in clear.",
        "Switch rds.force_ssl or require_secure_transport on.",
    ),
    _Code(
        "PlaintextTaken",
        Level.WARNING,
        "The database was seen to take a login without TLS",
        "Whatever its parameters say: a client may send its password in clear.",
        "Switch rds.force_ssl on, or let pg_hba.conf say hostssl.",
    ),
    _Code(
        "IamLoginOff",
        Level.NOTE,
        "The database offers no login by IAM",
        "People need a password too, where a short-lived token would do.",
        "`aws rds modify-db-instance --db-instance-identifier <instance> "
        "--enable-iam-database-authentication --apply-immediately`",
    ),
    _Code(
        "DatabasePublic",
        Level.WARNING,
        "The database has a public address",
        "Only its security groups keep the whole internet from its login.",
        "`aws rds modify-db-instance --db-instance-identifier <instance> "
        "--no-publicly-accessible --apply-immediately`",
    ),
)

STORAGE: tuple[Code, ...] = (
    _Code(
        "EbsInClear",
        Level.WARNING,
        "New EBS volumes are not encrypted by default",
        "A copy of data on such a volume, or its snapshot, can be read by whoever gets it.",
        "`aws ec2 enable-ebs-encryption-by-default`",
    ),
    _Code(
        "EbsUnderAwsKey",
        Level.NOTE,
        "New EBS volumes are under the key that AWS manages",
        "Their snapshots cannot be shared with another account.",
        "`aws ec2 modify-ebs-default-kms-key-id --kms-key-id <key>`",
    ),
    _Code(
        "BucketUnderAwsKey",
        Level.WARNING,
        "A bucket of the stack does not encrypt under a key of yours",
        "Whoever may read the bucket reads its objects: no key policy stands in between.",
        "Let the bucket's default be aws:kms with a key of yours.",
    ),
    _Code(
        "BucketKeyOff",
        Level.NOTE,
        "A bucket of the stack does without a bucket key",
        "Every object costs a request to KMS, against its quota too.",
        "Switch BucketKeyEnabled on in the bucket's default encryption.",
    ),
    _Code(
        "BucketMayBePublic",
        Level.WARNING,
        "Public access to a bucket of the stack is not blocked",
        "One wrong ACL or policy opens it to anybody.",
        "Switch all four blocks on.",
    ),
    _Code(
        "BucketUnversioned",
        Level.WARNING,
        "A bucket of the stack keeps no former versions",
        "What is overwritten or deleted is lost, whoever did it.",
        "`aws s3api put-bucket-versioning --bucket <bucket> "
        "--versioning-configuration Status=Enabled`",
    ),
    _Code(
        "BucketUnlocked",
        Level.NOTE,
        "A bucket of the stack locks no version",
        "Whoever may delete versions can delete the evidence.",
        "Set a default retention, where what is in the bucket must stay.",
    ),
    _Code(
        "BucketTakesClear",
        Level.WARNING,
        "A bucket of the stack takes requests without TLS",
        "What is read or written so crosses the network in clear.",
        "Deny s3:* where aws:SecureTransport is false.",
    ),
    _Code(
        "BucketTakesOtherKeys",
        Level.WARNING,
        "A bucket of the stack takes objects under other keys",
        "An object under a key of a stranger's is one that its key's owner can take away.",
        "Deny s3:PutObject with another algorithm or another key.",
    ),
)

POSTURE: tuple[Code, ...] = (*KEYS, *ACCESS, *ROTATION, *DATABASES, *STORAGE)
"""In the order in which a report shows them."""
