package main

import (
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig writes a kubeconfig that holds all it needs, so that it may be copied.
func writeKubeconfig(file, server, caFile string, client leaf) error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	certificate, err := os.ReadFile(client.certFile)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(client.keyFile)
	if err != nil {
		return err
	}
	const name = "default"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return writeFile(file, text, 0o600)
}
