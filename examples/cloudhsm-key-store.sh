#!/usr/bin/env bash
# A KMS key whose material is in a CloudHSM cluster of yours, for the parameter KeyArn of the rotation
# stack or as a pattern for an escrow's first key.
#
# No simulator has CloudHSM, so this has never run: its commands are held to the services' models by a
# test. Read it as a list, and type it step by step.
#
#   CLUSTER=cluster-abc KMSUSER_PASSWORD_FILE=kmsuser TRUST_ANCHOR=customerCA.crt \
#     POLICY=policy.json examples/cloudhsm-key-store.sh
#
# Before it:
#   * a cluster with two HSMs at least, in two zones, active and initialized (its CA certificate is
#     TRUST_ANCHOR: what was made when the cluster was initialized);
#   * in the cluster a crypto user `kmsuser`, whose password is in KMSUSER_PASSWORD_FILE, without a
#     line's end. KMS changes that password when it connects: keep it for nothing else.
#   * POLICY: a key policy with the statements of `Key` in template.yaml.
#
# What differs from a key in KMS: no rotation of the material, no copy in another Region, symmetric
# only; and while the store is not connected, nothing under the key can be read.
set -euo pipefail

: "${CLUSTER:?id of the CloudHSM cluster}"
: "${TRUST_ANCHOR:?PEM file of the cluster CA}"
: "${KMSUSER_PASSWORD_FILE:?file with the password of kmsuser}"
: "${POLICY:?file with the key policy}"

# Two active HSMs, or the key store is refused.
aws cloudhsmv2 describe-clusters --filters "clusterIds=$CLUSTER" \
  --query "Clusters[0].Hsms[?State=='ACTIVE'].AvailabilityZone"

# file:// keeps the password out of the process list and of the shell's history.
store=$(aws kms create-custom-key-store --custom-key-store-name rotation \
  --cloud-hsm-cluster-id "$CLUSTER" --trust-anchor-certificate "file://$TRUST_ANCHOR" \
  --key-store-password "file://$KMSUSER_PASSWORD_FILE" --query CustomKeyStoreId --output text)

# Takes up to twenty minutes; FAILED comes with a ConnectionErrorCode.
aws kms connect-custom-key-store --custom-key-store-id "$store"
until state=$(aws kms describe-custom-key-stores --custom-key-store-id "$store" \
  --query "CustomKeyStores[0].ConnectionState" --output text) && [ "$state" = CONNECTED ]; do
  if [ "$state" = FAILED ]; then
    aws kms describe-custom-key-stores --custom-key-store-id "$store" >&2
    exit 1
  fi
  sleep 30
done

aws kms create-key --origin AWS_CLOUDHSM --custom-key-store-id "$store" \
  --description "Secrets and databases, in the key store rotation" --policy "file://$POLICY" \
  --query KeyMetadata.Arn --output text
