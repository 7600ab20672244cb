package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/scrypt"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	passwordNamespace = "kube-system"
	passwordType      = "k3s.cattle.io/node-password"
	uninitialized     = "node.cloudprovider.kubernetes.io/uninitialized"
	// Set by the agent at its start. K3s's cloud controller waits for it.
	internalIP = program + ".io/internal-ip"
	hostname   = program + ".io/hostname"
	nodeArgs   = program + ".io/node-args"

	// Of the hash, as K3s's.
	scryptLogN, scryptR, scryptP, scryptKey = 15, 8, 1, 64

	completeEvery = 500 * time.Millisecond
)

var errWrongPassword = errors.New("node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-password entry")

// nodeKeeper does what K3s's controllers do about Nodes: node passwords, and completing new ones.
type nodeKeeper struct {
	client kubernetes.Interface
}

func newNodeKeeper(client kubernetes.Interface) *nodeKeeper { return &nodeKeeper{client} }

// check answers the node for which a certificate may be signed, or a status and why not.
func (k *nodeKeeper) check(request *http.Request) (string, int, error) {
	ctx := request.Context()
	who, _ := ctx.Value(identityKey{}).(identity)
	name := strings.ToLower(request.Header.Get(program + "-Node-Name"))
	password := request.Header.Get(program + "-Node-Password")
	if name == "" || password == "" {
		return "", http.StatusBadRequest, errors.New("node name or node password not set")
	}
	identified, isNode := who.node()
	if isNode && identified != name {
		return "", http.StatusBadRequest, errors.New("header node name does not match auth node name")
	}
	var node *corev1.Node
	if isNode {
		var err error
		if node, err = k.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return "", http.StatusUnauthorized, err
		}
	}
	switch err := k.ensure(ctx, name, password, node); {
	case errors.Is(err, errWrongPassword):
		return "", http.StatusForbidden, err
	case err != nil:
		// K3s signs all the same (since v1.27), so that nodes can join which run the very webhook
		// that is down: the Secret is no gate.
		fmt.Fprintf(os.Stderr, "node password of %s: %v\n", name, err)
	}
	return name, http.StatusOK, nil
}

// ensure compares the password with the one that the name was first used with.
func (k *nodeKeeper) ensure(ctx context.Context, name, password string, node *corev1.Node) error {
	secrets := k.client.CoreV1().Secrets(passwordNamespace)
	secret, err := secrets.Get(ctx, passwordSecret(name), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		hash, err := hashPassword(password)
		if err != nil {
			return err
		}
		immutable := true
		made := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: passwordSecret(name), Namespace: passwordNamespace},
			Type:       passwordType,
			Immutable:  &immutable,
			Data:       map[string][]byte{"hash": []byte(hash)},
		}
		if node != nil {
			// So that it goes with the Node. K3s adds this a moment later.
			made.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
		}
		_, err = secrets.Create(ctx, made, metav1.CreateOptions{})
		return err
	case err != nil:
		// What can't be read can't be compared.
		return fmt.Errorf("%w: %w", errWrongPassword, err)
	case !verifyPassword(string(secret.Data["hash"]), password):
		return errWrongPassword
	}
	return nil
}

func passwordSecret(node string) string { return node + ".node-password." + program }

func hashPassword(password string) (string, error) {
	salt := make([]byte, 8)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	key, err := scrypt.Key([]byte(password), salt, 1<<scryptLogN, scryptR, scryptP, scryptKey)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$1:%s:%d:%d:%d:%s", hex.EncodeToString(salt), scryptLogN, scryptR, scryptP,
		base64.RawStdEncoding.EncodeToString(key)), nil
}

func verifyPassword(hash, password string) bool {
	fields := strings.Split(hash, ":")
	if len(fields) != 6 || fields[0] != "$1" {
		return false
	}
	salt, err := hex.DecodeString(fields[1])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		return false
	}
	got, err := scrypt.Key([]byte(password), salt, 1<<scryptLogN, scryptR, scryptP, scryptKey)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1
}

// completeAll does for new Nodes what K3s's cloud controller does, until the context ends.
func (k *nodeKeeper) completeAll(ctx context.Context) {
	tick := time.NewTicker(completeEvery)
	defer tick.Stop()
	roles := false
	for {
		if !roles {
			roles = k.makeRoles(ctx) == nil
		}
		nodes, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err == nil {
			for i := range nodes.Items {
				if err := k.complete(ctx, &nodes.Items[i]); err != nil {
					fmt.Fprintf(os.Stderr, "node %s: %v\n", nodes.Items[i].Name, err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// complete takes the taint of a Node whose agent has said its address, and sets what the cloud
// controller of K3s sets.
func (k *nodeKeeper) complete(ctx context.Context, node *corev1.Node) error {
	reported := node.Annotations[internalIP] != ""
	var kept []corev1.Taint
	for _, taint := range node.Spec.Taints {
		if taint.Key != uninitialized {
			kept = append(kept, taint)
		}
	}
	if !reported || len(kept) == len(node.Spec.Taints) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			// What was changed meanwhile is for the next look.
			"resourceVersion": node.ResourceVersion,
			"labels":          map[string]string{corev1.LabelInstanceTypeStable: program},
		},
		"spec": map[string]any{"providerID": program + "://" + node.Name, "taints": kept},
	})
	if err != nil {
		return err
	}
	_, err = k.client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// makeRoles gives the identity that all agents share what K3s gives it.
func (k *nodeKeeper) makeRoles(ctx context.Context) error {
	name := "system:" + program + "-controller"
	read := []string{"get", "list", "watch"}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"nodes", "pods", "endpoints", "namespaces"}, Verbs: read},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
			{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: read},
			{APIGroups: []string{""}, Resources: []string{"nodes/status"}, Verbs: []string{"patch"}},
		},
	}
	_, err := k.client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}},
	}
	_, err = k.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}
