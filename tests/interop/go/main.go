// SPDX-License-Identifier: Apache-2.0

// Command interop lets tools that are not Dvara's judge Dvara's files. It holds no cryptography of its own: it calls
// golang.org/x/mod/sumdb (Go's own transparency log), Tessera and torchwood.
package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const usage = `usage: interop log URL VKEY [OLD_CHECKPOINT]   sumdb/note and sumdb/tlog over a log's tiles
       interop fsck URL VKEY                   Tessera's fsck
       interop proof POLICY PROOF EVENT        torchwood's verification of a tlog-proof
       interop checkpoint POLICY CHECKPOINT    torchwood's verification of a cosigned checkpoint
       interop keygen NAME                     a signer of sumdb/note: secret and public line
       interop agent SOCKET                    an SSH agent with one new key; prints its fingerprint`

func main() {
	verbs := map[string]struct {
		least, most int
		run         func(args []string) error
	}{
		"log":        {2, 3, checkLog},
		"fsck":       {2, 2, runFsck},
		"proof":      {3, 3, checkProof},
		"checkpoint": {2, 2, checkCheckpoint},
		"keygen":     {1, 1, makeKey},
		"agent":      {1, 1, serveAgent},
	}
	if len(os.Args) < 2 {
		fail(errors.New(usage))
	}
	verb, known := verbs[os.Args[1]]
	args := os.Args[2:]
	if !known || len(args) < verb.least || len(args) > verb.most {
		fail(errors.New(usage))
	}
	if err := verb.run(args); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// -- golang.org/x/mod/sumdb ------------------------------------------------------------------------

func get(base, path string) ([]byte, error) {
	answer, err := http.Get(strings.TrimSuffix(base, "/") + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return body, err
}

// tiles reads what tlog asks for, each once: C2SP tlog-tiles leaves out the height in the path of x/mod.
type tiles struct {
	base string
	seen map[tlog.Tile][]byte
}

func (t tiles) Height() int                     { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		if _, seen := t.seen[tile]; !seen {
			data, err := get(t.base, strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
			if err != nil {
				return nil, err
			}
			t.seen[tile] = data
		}
		all = append(all, t.seen[tile])
	}
	return all, nil
}

func openCheckpoint(raw []byte, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(raw, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	checkpoint, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return tlog.Tree{}, err
	}
	if checkpoint.Origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("the origin is %q", checkpoint.Origin)
	}
	return checkpoint.Tree, nil
}

// checkLog recomputes the root, hashes every entry, and checks an inclusion proof for each and, when an older
// checkpoint is given, a consistency proof.
func checkLog(args []string) error {
	raw, err := get(args[0], "checkpoint")
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(raw, args[1])
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, tiles{args[0], map[tlog.Tile][]byte{}})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("the tiles give another root")
	}
	if err := checkEntries(args[0], tree, reader); err != nil {
		return err
	}
	if len(args) == 3 {
		return checkConsistency(args[2], args[1], tree, reader)
	}
	fmt.Printf("ok %d\n", tree.N)
	return nil
}

func checkEntries(base string, tree tlog.Tree, reader tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += 256 {
		width := min(256, tree.N-first)
		tile := tlog.Tile{H: 8, L: -1, N: first / 256, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		bundle, err := get(base, path)
		if err != nil {
			return err
		}
		for index := first; index < first+width; index++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("%s is cut short", path)
			}
			size := 2 + int(binary.BigEndian.Uint16(bundle))
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(bundle[2:size])); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			bundle = bundle[size:]
		}
		if len(bundle) != 0 {
			return fmt.Errorf("%s is too long", path)
		}
	}
	return nil
}

func checkConsistency(file, vkey string, tree tlog.Tree, reader tlog.HashReader) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	old, err := openCheckpoint(raw, vkey)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return err
	}
	fmt.Printf("ok %d from %d\n", tree.N, old.N)
	return nil
}

// -- Tessera ---------------------------------------------------------------------------------------

func leafHashes(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

func runFsck(args []string) error {
	base, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(args[1])
	if err != nil {
		return err
	}
	fetcher, err := client.NewHTTPFetcher(base, nil)
	if err != nil {
		return err
	}
	check := fsck.New(verifier.Name(), verifier, fetcher, leafHashes, fsck.Opts{N: 2})
	if err := check.Check(context.Background()); err != nil {
		return err
	}
	fmt.Println("ok")
	return nil
}

// -- torchwood -------------------------------------------------------------------------------------

func readAll(files []string) ([][]byte, error) {
	var all [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func checkProof(args []string) error {
	files, err := readAll(args)
	if err != nil {
		return err
	}
	policy, err := torchwood.ParsePolicy(files[0])
	if err != nil {
		return err
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(files[2]), files[1]); err != nil {
		return err
	}
	fmt.Println("ok")
	return nil
}

func checkCheckpoint(args []string) error {
	files, err := readAll(args)
	if err != nil {
		return err
	}
	policy, err := torchwood.ParsePolicy(files[0])
	if err != nil {
		return err
	}
	checkpoint, opened, err := torchwood.VerifyCheckpoint(files[1], policy)
	if err != nil {
		return err
	}
	fmt.Printf("ok %d %d\n", checkpoint.N, len(opened.Sigs))
	return nil
}

// -- keys ------------------------------------------------------------------------------------------

func makeKey(args []string) error {
	secret, public, err := note.GenerateKey(rand.Reader, args[0])
	if err == nil {
		fmt.Printf("%s\n%s\n", secret, public)
	}
	return err
}

// serveAgent holds the key of a litewitness, which asks an SSH agent for its signatures.
func serveAgent(args []string) error {
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: &secret}); err != nil {
		return err
	}
	signers, err := keys.Signers()
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	fmt.Println(ssh.FingerprintSHA256(signers[0].PublicKey()))
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			var ignored bytes.Buffer
			if err := agent.ServeAgent(keys, connection); err != nil && err != io.EOF {
				fmt.Fprintln(&ignored, err)
			}
		}()
	}
}
