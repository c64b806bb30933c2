package backup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	// s3Retries is how often a request is tried.
	s3Retries = 4
	// s3PutTime bounds the upload of one file, and s3Cleanup the removal of what an
	// upload that failed has left.
	s3PutTime = 10 * time.Minute
	s3Cleanup = 5 * time.Second
)

// bucket is a store of objects that speaks S3. A backup is the objects below
// PREFIX/NAME/. It counts once its manifest is there, which is put last and removed
// first.
type bucket struct {
	client *minio.Client
	name   string
	prefix string // "" or with a slash at its end
}

// openBucket returns the store in BUCKET/PREFIX. Endpoint, region and credentials
// come from the variables, and the credentials file, that every program for S3
// reads.
func openBucket(location string) (*bucket, error) {
	name, prefix, _ := strings.Cut(location, "/")
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	if name == "" {
		return nil, errors.New("it names no bucket: give s3://BUCKET/PREFIX")
	}
	endpoint := cmp.Or(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3.amazonaws.com")
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("the endpoint in AWS_ENDPOINT_URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return nil, fmt.Errorf("the endpoint %q in AWS_ENDPOINT_URL is no base URL: give https://HOST:PORT", u.Redacted())
	}
	chain := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}})
	if got, err := chain.GetWithContext(&credentials.CredContext{Client: http.DefaultClient}); err != nil || got.AccessKeyID == "" {
		return nil, errors.Join(errors.New("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE"), err)
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: chain, Secure: u.Scheme == "https", MaxRetries: s3Retries,
		Region: cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1"),
	})
	if err != nil {
		return nil, err
	}
	return &bucket{client, name, prefix}, nil
}

// Path implements Store.
func (b *bucket) Path(name string) string { return s3Scheme + b.name + "/" + b.prefix + name }

// failed says where a request failed.
func (b *bucket) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("bucket %s at %s: %w", b.name, b.client.EndpointURL().Host, err)
}

// objects are what lies below a prefix.
func (b *bucket) objects(ctx context.Context, prefix string) (all []minio.ObjectInfo, err error) {
	for o := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, b.failed(o.Err)
		}
		all = append(all, o)
	}
	return all, b.failed(context.Cause(ctx))
}

// state is what there is of a backup.
type state struct {
	counts bool
	newest time.Time
}

// scan finds every backup, whether it counts or not.
func (b *bucket) scan(ctx context.Context) (map[string]state, error) {
	all, err := b.objects(ctx, b.prefix)
	if err != nil {
		return nil, err
	}
	found := map[string]state{}
	for _, o := range all {
		name, file, ok := strings.Cut(strings.TrimPrefix(o.Key, b.prefix), "/")
		if !ok || !namePattern.MatchString(name) {
			continue
		}
		s := found[name]
		s.counts = s.counts || file == MetadataName
		if o.LastModified.After(s.newest) {
			s.newest = o.LastModified
		}
		found[name] = s
	}
	return found, nil
}

// Names implements Store.
func (b *bucket) Names(ctx context.Context) ([]string, error) {
	found, err := b.scan(ctx)
	maps.DeleteFunc(found, func(_ string, s state) bool { return !s.counts })
	return slices.Collect(maps.Keys(found)), err
}

// Leftovers implements Store.
func (b *bucket) Leftovers(ctx context.Context, since time.Time) ([]string, error) {
	found, err := b.scan(ctx)
	maps.DeleteFunc(found, func(_ string, s state) bool { return s.counts || !s.newest.Before(since) })
	return slices.Collect(maps.Keys(found)), err
}

// Remove implements Store.
func (b *bucket) Remove(ctx context.Context, name string) error {
	folder := b.prefix + name + "/"
	if err := b.remove(ctx, folder+MetadataName); err != nil {
		return err
	}
	all, err := b.objects(ctx, folder)
	if err != nil {
		return err
	}
	for _, o := range all {
		if err := b.remove(ctx, o.Key); err != nil {
			return err
		}
	}
	return nil
}

func (b *bucket) remove(ctx context.Context, key string) error {
	if err := b.client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("remove %s: %w", key, b.failed(err))
	}
	return nil
}

// Create implements Store. The name is chosen when the first file comes.
func (b *bucket) Create(_ context.Context, at time.Time) (Place, error) {
	return &upload{bucket: b, at: at, tags: map[string]string{}}, nil
}

// upload is a backup that is being put into a bucket.
type upload struct {
	bucket    *bucket
	at        time.Time
	name      string            // "" before the first file
	tags      map[string]string // by key: the entity tag of what was put, "" if that is not known
	committed bool
}

// Path implements Place.
func (u *upload) Path() string { return u.bucket.Path(u.name) }

// Put implements Sink. Before the manifest makes the backup count, all that was put
// must still be there, and nothing else: another node may have taken an upload that
// stood still for an abandoned one.
func (u *upload) Put(ctx context.Context, name string, content []byte) error {
	if u.name == "" {
		if err := u.claim(ctx, name, content); err != nil || name != MetadataName {
			return err
		}
	}
	if name != MetadataName {
		return u.put(ctx, name, content, false)
	}
	all, err := u.bucket.objects(ctx, u.folder())
	if err != nil {
		return err
	}
	there := map[string]string{}
	for _, o := range all {
		there[o.Key] = strings.Trim(o.ETag, `"`)
	}
	if !maps.Equal(there, u.tags) {
		return fmt.Errorf("%s changed while it was uploaded: another node works there", u.Path())
	}
	return u.put(ctx, name, content, false)
}

// folder is what the keys of the backup begin with.
func (u *upload) folder() string { return u.bucket.prefix + u.name + "/" }

// claim takes a name that no other backup has, not even one that begins now, and
// puts the first segment under it; of a backup without any segment nothing is put.
func (u *upload) claim(ctx context.Context, name string, content []byte) error {
	found, err := u.bucket.scan(ctx)
	if err != nil {
		return err
	}
	for ; ; u.at = u.at.Add(time.Second) {
		if _, taken := found[Name(u.at)]; taken {
			continue
		}
		u.name = Name(u.at)
		if name == MetadataName {
			return nil
		}
		if err := u.put(ctx, name, content, true); !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// put puts a file, or returns fs.ErrExist if it is to be new and is not. A store
// that cannot compare is not asked to.
func (u *upload) put(ctx context.Context, name string, content []byte, isNew bool) error {
	o := minio.PutObjectOptions{DisableMultipart: true, ContentType: "application/octet-stream"}
	if isNew {
		o.SetMatchETagExcept("*")
	}
	key := u.folder() + name
	u.tags[key] = "" // it may be there after a failure, too
	putting, done := context.WithTimeout(ctx, s3PutTime)
	defer done()
	info, err := u.bucket.client.PutObject(putting, u.bucket.name, key, bytes.NewReader(content), int64(len(content)), o)
	switch code := minio.ToErrorResponse(err).Code; {
	case err == nil:
		u.tags[key] = strings.Trim(info.ETag, `"`)
	case isNew && code == minio.NotImplemented:
		return u.put(ctx, name, content, false)
	case isNew && (code == minio.PreconditionFailed || code == conflict):
		delete(u.tags, key)
		return fs.ErrExist
	}
	return u.bucket.failed(err)
}

// conflict is how a store refuses one of two uploads of a new object at once.
const conflict = "ConditionalRequestConflict"

// Commit implements Sink.
func (u *upload) Commit(context.Context) error {
	u.committed = true
	return nil
}

// Close implements Place. It removes what this upload has put, and nothing that
// another one may have put beside it; the manifest first.
func (u *upload) Close() error {
	if u.committed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s3Cleanup)
	defer cancel()
	// The names of segments, state-… and log-…, come after that of the manifest.
	for _, key := range slices.Sorted(maps.Keys(u.tags)) {
		if err := u.bucket.remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Open implements Store.
func (b *bucket) Open(ctx context.Context, name string) fs.FS {
	return objects{ctx, b, b.prefix + name + "/"}
}

// objects are the files of a backup in a bucket.
type objects struct {
	ctx    context.Context
	bucket *bucket
	folder string
}

// Open implements fs.FS. A file is fetched as a whole.
func (o objects) Open(name string) (fs.File, error) {
	missing := func(err error) error { return &fs.PathError{Op: "open", Path: o.folder + name, Err: err} }
	if !fs.ValidPath(name) {
		return nil, missing(fs.ErrInvalid)
	}
	object, err := o.bucket.client.GetObject(o.ctx, o.bucket.name, o.folder+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, o.bucket.failed(err)
	}
	content, err := io.ReadAll(io.LimitReader(object, maxMetadataBytes+1))
	gone := minio.ToErrorResponse(err).Code == minio.NoSuchKey
	if err = errors.Join(err, object.Close()); gone {
		return nil, missing(fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", o.folder+name, o.bucket.failed(err))
	}
	return &fetched{bytes.NewReader(content), entry{name, int64(len(content))}}, nil
}

// ReadDir implements fs.ReadDirFS.
func (o objects) ReadDir(string) ([]fs.DirEntry, error) {
	all, err := o.bucket.objects(o.ctx, o.folder)
	if err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, len(all))
	for i, object := range all {
		entries[i] = fs.FileInfoToDirEntry(entry{strings.TrimPrefix(object.Key, o.folder), object.Size})
	}
	return entries, nil
}

// fetched is an object that is in memory.
type fetched struct {
	*bytes.Reader
	entry entry
}

// Stat implements fs.File.
func (f *fetched) Stat() (fs.FileInfo, error) { return f.entry, nil }

// Close implements fs.File.
func (f *fetched) Close() error { return nil }

// entry describes an object as a file.
type entry struct {
	name string
	size int64
}

// Name, Size, Mode, ModTime, IsDir and Sys implement fs.FileInfo.
func (e entry) Name() string     { return path.Base(e.name) }
func (e entry) Size() int64      { return e.size }
func (entry) Mode() fs.FileMode  { return 0o400 }
func (entry) ModTime() time.Time { return time.Time{} }
func (entry) IsDir() bool        { return false }
func (entry) Sys() any           { return nil }
