package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/stemedb/stemedb/internal/s3test"
)

// stored is a store whose files a test can reach.
type stored struct {
	location string
	dir      string // where the backups' files are
}

// kinds are an empty folder and an empty prefix of a bucket.
func kinds(t *testing.T) map[string]stored {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "backups")
	server := s3test.Start(t)
	return map[string]stored{
		"folder": {folder, folder},
		"bucket": {"s3://" + s3test.Bucket + "/some/where", filepath.Join(server.Dir, "some/where")},
	}
}

func openStore(t *testing.T, location string, keys Keys) Store {
	t.Helper()
	s, err := OpenStore(location, keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take writes a backup into a store.
func take(t *testing.T, s Store, at int64, m Metadata, content []byte) string {
	t.Helper()
	place, err := s.Create(t.Context(), time.Unix(at, 0))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Write(t.Context(), place, m, writing(content), Options{})
	if err := errors.Join(err, place.Close()); err != nil {
		t.Fatal(err)
	}
	return place.Path()
}

// identity makes a key, and returns the file that holds it and its recipient.
func identity(t *testing.T) (file, recipient string) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte("# a key\n"+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, key.Recipient().String()
}

func parseKeys(t *testing.T, recipients []string, file string) Keys {
	t.Helper()
	keys, err := ParseKeys(recipients, file)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// names are those of what a store lists.
func listedNames(t *testing.T, s Store) (names []string) {
	t.Helper()
	all, err := List(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Err != nil {
			t.Errorf("%s: %v", f.Path, f.Err)
		}
		names = append(names, f.Name)
	}
	return names
}

// What a store keeps comes back, encrypted or not, by its location alone.
func TestStoresKeepBackups(t *testing.T) {
	file, recipient := identity(t)
	content := noise(7, SegmentBytes+12345)
	for kind, at := range kinds(t) {
		for what, keys := range map[string]Keys{"plain": {}, "encrypted": parseKeys(t, []string{recipient}, file)} {
			s := openStore(t, at.location+"/"+what, keys)
			if got := listedNames(t, s); len(got) != 0 {
				t.Errorf("%s, %s: an empty store holds %v", kind, what, got)
			}
			path := take(t, s, 1e9, full(10), content)
			second := take(t, s, 1e9, logOf(11, 20), entries(11, 20)) // in the same second
			if got := listedNames(t, s); !slices.Equal(got, []string{"stemedb-backup-20010909-014640", "stemedb-backup-20010909-014641"}) {
				t.Errorf("%s, %s: lists %v", kind, what, got)
			}
			from, name, err := Locate(second, keys)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := Plan(t.Context(), from, name, Target{})
			if err != nil || len(plan) != 2 || plan[0].Path != path || plan[1].Path != second {
				t.Fatalf("%s, %s: the plan is %v, %v", kind, what, plan, err)
			}
			m, err := Verify(plan[0].FS())
			if err != nil {
				t.Fatalf("%s, %s: %v", kind, what, err)
			}
			if got, err := io.ReadAll(NewReader(plan[0].FS(), m)); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s, %s: %d bytes came back, %v", kind, what, len(got), err)
			}
			raw, err := os.ReadDir(filepath.Join(at.dir, what, plan[0].Name))
			if err != nil || len(raw) != 3 || strings.HasSuffix(raw[1].Name(), sealedSuffix) != (what == "encrypted") {
				t.Errorf("%s, %s: there are the files %v, %v", kind, what, raw, err)
			}
			if err := s.Remove(t.Context(), plan[0].Name); err != nil {
				t.Error(err)
			}
			if got := listedNames(t, s); !slices.Equal(got, []string{name}) {
				t.Errorf("%s, %s: after a removal it lists %v", kind, what, got)
			}
		}
	}
}

// Another key, no key, and damage are told apart; manifests need no key.
func TestEncryptedBackupsNeedTheKey(t *testing.T) {
	file, recipient := identity(t)
	other, _ := identity(t)
	for kind, at := range kinds(t) {
		path := take(t, openStore(t, at.location, parseKeys(t, []string{recipient}, "")), 1e9, full(7), noise(3, 5000))
		verify := func(identity string) error {
			s, name, err := Locate(path, parseKeys(t, nil, identity))
			if err != nil {
				t.Fatal(err)
			}
			f := Find(t.Context(), s, name)
			if f.Err != nil || f.Metadata.Index != 7 {
				t.Errorf("%s: the manifest: %+v", kind, f)
			}
			_, err = Verify(f.FS())
			return err
		}
		if err := verify(file); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := verify(""); !errors.Is(err, ErrEncrypted) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: without a key: %v", kind, err)
		}
		if err := verify(other); !errors.Is(err, ErrWrongKey) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: with another key: %v", kind, err)
		}
		segment := filepath.Join(at.dir, Name(time.Unix(1e9, 0)), segmentName(Full, 0)+sealedSuffix)
		sound, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		put := func(content []byte) {
			if err := os.WriteFile(segment, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for at := 0; at < len(sound); at += 1 + len(sound)/97 {
			damaged := bytes.Clone(sound)
			damaged[at] ^= 1
			put(damaged)
			if err := verify(file); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongKey) { // its header says for whom
				t.Errorf("%s: byte %d: %v", kind, at, err)
			}
			put(sound[:at])
			if err := verify(file); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: cut at %d: %v", kind, at, err)
			}
		}
		put(sound)
		if err := verify(file); err != nil {
			t.Errorf("%s: as it was: %v", kind, err)
		}
		for name, content := range map[string][]byte{segmentName(Full, 0): noise(1, 10), segmentName(Full, 1) + sealedSuffix: sound} {
			added := filepath.Join(filepath.Dir(segment), name)
			if err := os.WriteFile(added, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := verify(file); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotBackup) {
				t.Errorf("%s: with the additional file %s: %v", kind, name, err)
			}
			if err := os.Remove(added); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(segment); err != nil {
			t.Fatal(err)
		}
		if err := verify(file); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: without its segment: %v", kind, err)
		}
	}
}

// An upload that ends anywhere is no backup, and is found once it is old.
func TestNothingUnfinishedInABucketIsABackup(t *testing.T) {
	at := kinds(t)["bucket"]
	s := openStore(t, at.location, Keys{})
	begin := func() Place {
		place, err := s.Create(t.Context(), time.Unix(1e9, 0))
		if err != nil {
			t.Fatal(err)
		}
		return place
	}
	content := noise(5, 2*SegmentBytes)
	for left := range 3 {
		place := begin()
		if _, err := Write(t.Context(), &failing{place, left}, full(7), writing(content), Options{}); !errors.Is(err, errFull) {
			t.Errorf("with %d files: %v", left, err)
		}
		if got := listedNames(t, s); len(got) != 0 {
			t.Errorf("before it is closed: %v", got)
		}
		old, err := s.Leftovers(t.Context(), time.Now().Add(time.Hour))
		if err != nil || len(old) != min(left, 1) {
			t.Errorf("with %d files, leftovers: %v, %v", left, old, err)
		}
		if young, err := s.Leftovers(t.Context(), time.Now().Add(-time.Hour)); err != nil || len(young) != 0 {
			t.Errorf("an upload under way is a leftover: %v, %v", young, err)
		}
		if err := place.Close(); err != nil {
			t.Error(err)
		}
		if old, err := s.Leftovers(t.Context(), time.Now().Add(time.Hour)); err != nil || len(old) != 0 {
			t.Errorf("left behind: %v, %v", old, err)
		}
	}
	// Another node took it for abandoned and removed it.
	place := begin()
	removing := Options{Done: func(bytes int64) {
		if bytes == int64(len(content)) {
			if err := s.Remove(t.Context(), Name(time.Unix(1e9, 0))); err != nil {
				t.Error(err)
			}
		}
	}}
	if _, err := Write(t.Context(), place, full(7), writing(content), removing); err == nil || !strings.Contains(err.Error(), "changed while it was uploaded") {
		t.Errorf("an upload whose files were removed: %v", err)
	}
	if got := listedNames(t, s); len(got) != 0 {
		t.Errorf("it counts: %v", got)
	}
}

// Backups of one second, of the same cluster or of two, do not touch each other:
// neither those that begin at once, nor one that fails beside one that is whole.
func TestUploadsOfOneSecond(t *testing.T) {
	s := openStore(t, kinds(t)["bucket"].location, Keys{})
	content := entries(1, 9)
	sound := func(want int) {
		t.Helper()
		names := listedNames(t, s)
		for _, name := range names {
			if _, err := Verify(s.Open(t.Context(), name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(names) != want {
			t.Errorf("%d backups, want %d", len(names), want)
		}
	}
	begin := func(name string) *upload {
		place, err := s.Create(t.Context(), time.Unix(1e9, 0))
		if err != nil {
			t.Fatal(err)
		}
		u, ok := place.(*upload)
		if !ok {
			t.Fatalf("a place in a bucket is a %T", place)
		}
		u.name = name
		return u
	}
	both := []*upload{begin(""), begin("")}
	for _, u := range both {
		if _, err := Write(t.Context(), u, logOf(1, 9), writing(content), Options{}); err != nil {
			t.Error(err)
		}
	}
	sound(2)
	// Both have looked before either has put anything.
	taken := both[0].name
	late := begin(taken)
	if err := late.put(t.Context(), segmentName(Log, 0), content, true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the first file of another backup is replaced: %v", err)
	}
	if err := late.Close(); err != nil {
		t.Error(err)
	}
	sound(2)
	// One of another kind has no name in common with it but that of the manifest.
	late = begin(taken)
	if _, err := Write(t.Context(), late, full(9), writing(content), Options{}); err == nil || !strings.Contains(err.Error(), "another node works there") {
		t.Errorf("into the folder of another backup: %v", err)
	}
	if err := late.Close(); err != nil {
		t.Error(err)
	}
	sound(2)
}

// failing is a place with room for so many files.
type failing struct {
	Place
	left int
}

func (f *failing) Put(ctx context.Context, name string, content []byte) error {
	if f.left--; f.left < 0 {
		return errFull
	}
	return f.Place.Put(ctx, name, content)
}

// What is wrong with a place is said as such, and never called damage.
func TestStoresSayWhatIsWrong(t *testing.T) {
	server := s3test.Start(t)
	missing := openStore(t, "s3://elsewhere", Keys{})
	if _, err := List(t.Context(), missing); err == nil || !strings.Contains(err.Error(), "bucket elsewhere") || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a bucket that is not there: %v", err)
	}
	s := openStore(t, "s3://"+s3test.Bucket, Keys{})
	take(t, s, 1e9, full(7), noise(1, 100))
	m := Find(t.Context(), s, Name(time.Unix(1e9, 0))).Metadata
	ctx, cancel := context.WithCancel(t.Context())
	reached := server.Hold(func(method, key string) bool { return method == "GET" && strings.HasSuffix(key, ".seg") })
	go func() { <-reached; cancel() }()
	if _, err := io.Copy(io.Discard, NewReader(s.Open(ctx, Name(time.Unix(1e9, 0))), m)); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a store that does not answer: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if _, err := List(t.Context(), openStore(t, "s3://"+s3test.Bucket, Keys{})); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("with the wrong secret: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	for location, says := range map[string]string{
		"s3://" + s3test.Bucket: "there are no credentials", "s3://": "names no bucket", "gs://bucket": "no kind of store",
	} {
		if _, err := OpenStore(location, Keys{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", location, err)
		}
	}
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = test\naws_secret_access_key = test-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	if got := listedNames(t, openStore(t, "s3://"+s3test.Bucket, Keys{})); len(got) != 1 {
		t.Errorf("with credentials of a file: %v", got)
	}
	t.Setenv("AWS_ENDPOINT_URL", "localhost:9000")
	if _, err := OpenStore("s3://"+s3test.Bucket, Keys{}); err == nil || !strings.Contains(err.Error(), "no base URL") && !strings.Contains(err.Error(), "AWS_ENDPOINT_URL") {
		t.Errorf("an endpoint without a scheme: %v", err)
	}
	if _, _, err := Locate("s3://"+s3test.Bucket, Keys{}); err == nil || !strings.Contains(err.Error(), "names no backup") {
		t.Errorf("no backup is named: %v", err)
	}
	if _, err := ParseKeys([]string{"age1nonsense"}, ""); err == nil || !strings.Contains(err.Error(), "age-keygen") {
		t.Errorf("a recipient that is none: %v", err)
	}
	if _, err := ParseKeys(nil, file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("identities that are none: %v", err)
	}
}
