cloud: { keepalive: 600 }
