"""Announces a web node to the load balancers of its group, once a second.

Usage: python3 heartbeat.py GROUP ADDRESS PORT. The message goes to all programs of this computer that listen for
it, by the broadcast address of the loopback network; nothing leaves the computer.
"""

import socket
import sys
import time

LISTENERS = ("127.255.255.255", 8079)
SECONDS = 1.0

if __name__ == "__main__":
    group, address, port = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.bind((address, 0))
        while True:
            sender.sendto(f"{address}:{port} {group}".encode(), LISTENERS)
            time.sleep(SECONDS)
