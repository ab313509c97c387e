"""Exit 0 when the service in this container takes work, 1 when not. Needs no curl."""

import os
import sys
from http.client import HTTPConnection, HTTPException

# no urllib: it would ask the container's HTTP proxy
connection = HTTPConnection("127.0.0.1", int(os.environ.get("JOBSPOOL_PORT", "8000")), timeout=4)
try:
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    print(answer.status, answer.read(1000).decode())
except (OSError, HTTPException) as error:
    sys.exit(f"no answer: {error}")
sys.exit(answer.status != 200)
