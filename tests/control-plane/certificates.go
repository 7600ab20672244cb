package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	caValidity = 10 * 365 * 24 * time.Hour
	// As K3s's certificates.
	leafValidity = 365 * 24 * time.Hour
	// Clocks of clients may be behind.
	backdated = time.Hour
)

// authority is a certificate authority with its key, kept as two files.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	certFile    string
}

// loadOrMakeAuthority takes <dir>/<name>.crt and .key where they lie (so that an operator may
// bring an authority along) and makes them where neither does.
func loadOrMakeAuthority(dir, name, commonName string) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	certPEM, certErr := os.ReadFile(certFile)
	keyPEM, keyErr := os.ReadFile(keyFile)
	switch {
	case errors.Is(certErr, os.ErrNotExist) && errors.Is(keyErr, os.ErrNotExist):
		return makeAuthority(certFile, keyFile, commonName)
	case certErr != nil:
		return nil, certErr
	case keyErr != nil:
		return nil, keyErr
	}
	certificate, key, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	if !certificate.IsCA {
		return nil, fmt.Errorf("%s: not a certificate authority", certFile)
	}
	return &authority{certificate, key, certFile}, nil
}

func parsePair(certPEM, keyPEM []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, errors.New("no PEM block")
	}
	certificate, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	if key, err := x509.ParseECPrivateKey(keyBlock.Bytes); err == nil {
		return certificate, key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("key is %T, wanted an elliptic curve's", parsed)
	}
	return certificate, key, nil
}

func makeAuthority(certFile, keyFile, commonName string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(pkix.Name{CommonName: commonName}, caValidity)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err := writePair(certFile, keyFile, der, key); err != nil {
		return nil, err
	}
	return &authority{certificate, key, certFile}, nil
}

// leaf is a certificate's and its key's file.
type leaf struct{ certFile, keyFile string }

// issueClient signs a certificate for a Kubernetes user and its groups.
func (a *authority) issueClient(dir, name, user string, groups ...string) (leaf, error) {
	template, err := newTemplate(pkix.Name{CommonName: user, Organization: groups}, leafValidity)
	if err != nil {
		return leaf{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(dir, name, template)
}

// issueServer signs a certificate for a server under the given names and addresses.
func (a *authority) issueServer(dir, name string, hosts []string) (leaf, error) {
	template, err := newTemplate(pkix.Name{CommonName: "kube-apiserver"}, leafValidity)
	if err != nil {
		return leaf{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return a.issue(dir, name, template)
}

// issue makes a new key and certificate at each start: nothing that expires is kept.
func (a *authority) issue(dir, name string, template *x509.Certificate) (leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return leaf{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return leaf{}, err
	}
	files := leaf{filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")}
	return files, writePair(files.certFile, files.keyFile, der, key)
}

func newTemplate(subject pkix.Name, validity time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(validity),
	}, nil
}

func writePair(certFile, keyFile string, der []byte, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(keyFile, "EC PRIVATE KEY", keyDER, 0o600); err != nil {
		return err
	}
	return writePEM(certFile, "CERTIFICATE", der, 0o644)
}

// loadOrMakeServiceAccountKey keeps the key that signs service account tokens over restarts:
// tokens outlive one.
func loadOrMakeServiceAccountKey(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return writePEM(file, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), 0o600)
}

func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	return writeFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// writeFile replaces the file in one step, so that a reader sees the old or the new one whole.
func writeFile(file string, contents []byte, mode os.FileMode) error {
	part := file + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(part, contents, mode); err != nil {
		return err
	}
	return os.Rename(part, file)
}
