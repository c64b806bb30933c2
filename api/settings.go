package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
)

// settings is GET /v1/admin/settings.
func (s *Server) settings(c echo.Context) error {
	out := v1.SettingsResponse{Settings: s.config.Settings}
	if out.Settings == nil {
		out.Settings = []v1.Setting{}
	}
	return s.ok(c, out)
}

func settingsDoc() operation {
	return operation{
		id: "settings", tag: tagOperations, summary: "The effective settings of this node", description: "Secrets are masked.",
		answers: []answerDoc{{http.StatusOK, "Each setting, and where its value comes from.", v1.MediaJSON, "SettingsResponse"}},
	}
}
