"""AWS Secrets Manager on one machine: for tests, the demo, and anyone with an AWS CLI.

What a rotation is
==================

A secret has **versions**, known by their ids, and **staging labels**, each on one version. Whoever
asks for the secret gets the version with AWSCURRENT. Rotating means: make a version with a new
password, make the database accept it, move AWSCURRENT.

The service does none of that. It puts the label AWSPENDING on a new version that has *no value*,
and invokes a function four times::

    {"Step": "createSecret", "SecretId": <ARN>, "ClientRequestToken": <id of the new version>}
    {"Step": "setSecret",    …}
    {"Step": "testSecret",   …}
    {"Step": "finishSecret", …}

The function is a client like any other. It stores the pending value (``PutSecretValue``), changes
the password, tries it, and moves AWSCURRENT (``UpdateSecretVersionStage``). When an invocation
fails the service starts over from createSecret, with the same token, several times; then it gives
up, and AWSPENDING stays where it is. Until somebody takes it away, each further ``RotateSecret`` is
refused: "A previous rotation isn't complete. That rotation will be reattempted." (When that is, is
not documented; here it is at the next due time, in :meth:`SecretsManagerService.advance`.)

In process
==========

::

    from local.secretsmanager import SecretsManagerService

    service = SecretsManagerService()
    with service:  # boto3 clients in this process now talk to it, and nothing goes out
        arn = service.create_secret("app", {"username": "app", "password": "old"})
        function = service.register("rotator", handler)  # handler(event, context)
        service.enable_rotation(arn, function, {"ScheduleExpression": "rate(30 days)"})
        outcome = service.rotate(arn)  # like RotateSecret, and waits
        assert outcome.succeeded and len(outcome.calls) <= 9
        service.advance(timedelta(days=31))  # the schedule rotates it once more

One step at a time: :meth:`~SecretsManagerService.prepare_rotation`,
:meth:`~SecretsManagerService.invoke_step`, :meth:`~SecretsManagerService.abandon`. What a test
looks at, past all faults: ``value``, ``labels``, ``versions``, ``requests``, ``events``,
``outcomes``.

Over HTTP
=========

``with service.endpoint() as endpoint:`` or ``python -m local.secretsmanager`` listens on loopback;
any SDK and the AWS CLI go there with ``AWS_ENDPOINT_URL_SECRETS_MANAGER=<endpoint.url>``.

Faults
======

========================================  =========================================================
``stale_reads=n``                         the first n reads after a write miss it: eventual
                                          consistency, of values and of labels
``throttle=0.2, seed=7``                  that part of all requests: ``ThrottlingException``
``fail_before(operation, nth)``           the request is lost, and has no effect
``fail_after(operation, nth)``            the request has its effect, the answer is lost
``on_request = callback``                 called at each request's two boundaries; kill the function
                                          there, or raise :class:`Killed` in process
``keys["alias/k"] = Key(enabled=False)``  the customer's key is disabled, or its policy refuses
``cross_account=True``                    events carry a ``RotationToken`` that must come back
``test_version="copy"``                   ``RotateImmediately=False`` tests a copy of AWSCURRENT
``cleans_up_pending=True``                AWSPENDING is taken off the version that was promoted
``wrong_holder="InvalidRequest…"``        the other code for a wrong ``RemoveFromVersionId``
``key_trial="placeholder"``               the trial of a key does not name the secret's ARN
========================================  =========================================================

What is moto's and what is ours
===============================

*Decision.* The operations of Secrets Manager are written here; moto's are not used, but for the
filters of ``ListSecrets``. Other services' requests (STS, KMS, RDS, …) are moto's.

*Why.* moto (5.2.5) keeps labels in lists on each version, with a default version besides, and that
is where its errors come from: AWSCURRENT on two versions, values overwritten while AWSPENDING, the
previous value after a promotion. Correcting it from outside would have meant to replace its secret,
its store and its answers, and to follow each of its releases. Written anew, the rules are one pure
module (:mod:`.versions`), which is shorter than the corrections and can be read beside AWS's
documentation. A test compares the two where moto is right.

*Price.* Replication to other Regions and resource policies' effects are missing; nothing is really
encrypted; there are no principals, so nobody is refused.

=====================  =============================================================================
:mod:`.versions`       versions and labels: the rules, pure
:mod:`.schedule`       rotation rules and the windows they open, pure
:mod:`.passwords`      ``GetRandomPassword``, pure
:mod:`.validation`     requests held to botocore's model of the service
:mod:`.keys`           customer-managed keys
:mod:`.operations`     each operation, from request to answer
:mod:`.rotation`       one rotation: steps, events, outcome
:mod:`.faults`         what goes wrong on order
:mod:`.log`            who asked what
:mod:`.service`        all of it together: the public face
:mod:`.interception`   boto3 in this process comes here
:mod:`.endpoint`       HTTP on loopback
=====================  =============================================================================
"""

from local.secretsmanager.errors import ConnectionLost, Killed, RotationFailed, ServiceError
from local.secretsmanager.keys import Key, KeyUse
from local.secretsmanager.log import Request
from local.secretsmanager.rotation import Context, Outcome, Step
from local.secretsmanager.service import SecretsManagerService

__all__ = [
    "ConnectionLost",
    "Context",
    "Key",
    "KeyUse",
    "Killed",
    "Outcome",
    "Request",
    "RotationFailed",
    "SecretsManagerService",
    "ServiceError",
    "Step",
]
