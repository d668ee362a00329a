"""Public models by the name that the Hugging Face hub gives them: found, checked, downloaded.

Only files that openk2 reads are downloaded: safetensors, JSON, the tokenizer and the chat template.
Code and pickled weights of a repository are never requested. Downloads go through the
`huggingface_hub` library into its cache, which other programs share. docs/design/hub.md.
"""

from openk2.pretrained.hub.fetch import Admission, fetch_config, fetch_model
from openk2.pretrained.hub.library import HUB_EXTRA
from openk2.pretrained.hub.name import HubName, folder_name

__all__ = ["HUB_EXTRA", "Admission", "HubName", "fetch_config", "fetch_model", "folder_name"]
