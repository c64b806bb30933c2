package transport

import (
	"bytes"
	"context"
	"fmt"
)

// dispatch lets the handler answer one request. The answer is to be released.
func (t *Transport) dispatch(ctx context.Context, method uint8, body []byte) (*bytes.Buffer, error) {
	loaded := t.handler.Load()
	if loaded == nil {
		return nil, &RemoteError{Code: CodeNotServing, Message: "the node is starting and does not answer calls yet"}
	}
	h := *loaded
	switch method {
	case methodHello:
		return answer(ctx, t.codec, body, h.Hello)
	case methodForward:
		return answer(ctx, t.codec, body, func(ctx context.Context, req ForwardRequest) (forwardResults, error) {
			resp, err := h.Forward(ctx, req)
			return packResults(resp), err
		})
	case methodReadIndex:
		return answer(ctx, t.codec, body, h.ReadIndex)
	case methodJoin:
		return answer(ctx, t.codec, body, h.Join)
	case methodGrant:
		return answer(ctx, t.codec, body, h.Grant)
	case methodMember:
		return answer(ctx, t.codec, body, h.Member)
	case methodTerm:
		return answer(ctx, t.codec, body, h.Term)
	default:
		return nil, &RemoteError{Code: CodeUnknownMethod, Message: fmt.Sprintf("this node does not know method %d: upgrade it", method)}
	}
}

func answer[Q, A any](ctx context.Context, c *codec, body []byte, handle func(context.Context, Q) (A, error)) (*bytes.Buffer, error) {
	var req Q
	if err := c.decode(body, &req); err != nil {
		return nil, &RemoteError{Code: CodeBadRequest, Message: err.Error()}
	}
	resp, err := handle(ctx, req)
	if err != nil {
		return nil, err
	}
	return c.encode(&resp)
}
