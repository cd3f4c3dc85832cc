"""Claims about what is deployed: parameters, policies, the transformed template, the artefacts."""
