# An SSH server for this node alone: on its address, with a host key of its own.
set -eu
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f host_key
cat > sshd_config <<END
ListenAddress $OCCOPUS_NODE_ADDRESS:2222
HostKey $PWD/host_key
AuthorizedKeysFile $PWD/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
SetEnv OCCOPUS_NODE_DIR=$OCCOPUS_NODE_DIR OCCOPUS_NODE_ADDRESS=$OCCOPUS_NODE_ADDRESS HOME=$PWD
END
PATH=$PATH:/usr/sbin
"$(command -v sshd)" -D -e -f "$PWD/sshd_config" &
