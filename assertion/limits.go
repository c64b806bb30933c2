package assertion

// Limits of one assertion. They bound memory and log size on every node, so a
// change to any of them is a change of format: nodes that disagree about a
// limit disagree about what may be stored.
const (
	// MaxNameBytes bounds a subject, a predicate, a Reference and an epoch's
	// name, in UTF-8 bytes after NFC.
	MaxNameBytes = 512
	// MaxMetadataBytes bounds source_metadata in its RFC 8785 form.
	MaxMetadataBytes = 8 << 10
	// MaxMetadataDepth bounds how deep arrays and objects nest in
	// source_metadata; the object itself is level 1.
	MaxMetadataDepth = 32
	// MaxVectorLen bounds the number of components of a vector.
	MaxVectorLen = 4096
	// MaxDerivedFrom bounds the number of hashes in derived_from.
	MaxDerivedFrom = 64
	// MaxSignatures bounds the signatures on one assertion, co-signers
	// included.
	MaxSignatures = 16
	// MaxRecordBytes bounds a whole assertion: its binary record with every
	// signature that it may ever carry.
	MaxRecordBytes = 64 << 10
	// MaxContentBytes bounds the canonical content. What it leaves below
	// MaxRecordBytes is room for MaxSignatures signatures, so that a co-signer
	// can never push an accepted assertion over the limit.
	MaxContentBytes = 62 << 10
	// MaxJSONBytes bounds the JSON text of one assertion. It is wider than
	// MaxRecordBytes because escapes, hexadecimal and decimal vectors take more
	// room in text than in the record.
	MaxJSONBytes = 256 << 10
	// MaxReasonBytes bounds the reason of a supersession, in UTF-8 bytes after
	// NFC.
	MaxReasonBytes = 1024
	// MaxURIBytes bounds the URI of a source, in UTF-8 bytes after NFC.
	MaxURIBytes = 2048
	// MaxSourceBytes bounds the content of a source, in UTF-8 bytes.
	MaxSourceBytes = 1 << 20
	// MaxSeeds bounds the agents that trust flows from.
	MaxSeeds = 1024
	// MaxComputedBytes bounds what a leader has computed in the background.
	MaxComputedBytes = 4 << 20
	// MaxFutureSeconds is how far a timestamp may lie ahead of the clock of the
	// node that receives it.
	MaxFutureSeconds = 300
)

// maxSourceJSONBytes bounds the JSON text of a source: escapes may take six
// bytes for one of content.
const maxSourceJSONBytes = 6*MaxSourceBytes + MaxJSONBytes
